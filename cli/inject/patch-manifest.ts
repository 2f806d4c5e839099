import { isDeepStrictEqual } from "node:util";
import {
  isCollection,
  isMap,
  isSeq,
  parseDocument,
  stringify,
  type Document,
  type Node,
  type ToStringOptions,
} from "yaml";
import { applyOperations, keysOf } from "../../webhook/mutation/apply-operations.ts";
import type { AddOperation } from "../../webhook/mutation/add-operation.ts";
import { KUBECTL_YAML } from "./kubectl-yaml.ts";
import type { Manifest } from "./manifest-stream.ts";

declare global {
  interface JSON {
    /** ECMAScript, "JSON.parse source text access"; Node has it, TypeScript does not declare it yet. */
    rawJSON(text: string): object;
  }
}

/**
 * The text of a manifest after a patch. Comments, order, quotes and the way of indenting stay as they
 * are; a JSON document stays JSON. Where anchors make that impossible (an added entry would show up
 * at every alias), the document is written anew, without comments.
 */
export function patchManifest(manifest: Manifest, operations: readonly AddOperation[]): string {
  const { text, document, content } = manifest;
  const patched = applyOperations(content, operations);
  const json = jsonTextOf(text, patched);
  if (json !== undefined) return json;

  const style = styleOf(text);
  for (const operation of operations) addTo(document, content, operation);
  const lines = document.toString(style);
  const isFaithful = isDeepStrictEqual(parseDocument(lines, KUBECTL_YAML).toJS(), patched);
  const start = document.directives?.docStart === true ? "---\n" : "";
  const written = isFaithful
    ? lines
    : `${start}${stringify(patched, { ...KUBECTL_YAML, ...style })}`;
  return text.includes("\r\n") ? written.replaceAll("\n", "\r\n") : written;
}

/** A document that is JSON, patched and written with its own indentation. */
function jsonTextOf(text: string, patched: unknown): string | undefined {
  if (!text.trimStart().startsWith("{")) return undefined;
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  const [, indent = ""] = /\n([ \t]+)"/.exec(text) ?? [];
  return `${JSON.stringify(patched, withWholeNumbers, indent)}\n`;
}

function withWholeNumbers(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? JSON.rawJSON(String(value)) : value;
}

function addTo(document: Document, content: unknown, { path, value }: AddOperation): void {
  const keys = [...keysOf(path)];
  const last = keys.pop() ?? "";
  let node: unknown = document.contents;
  let shown = content;
  for (const key of keys) {
    const parent = node;
    shown = applied(shown, key);
    node = isCollection(parent) ? parent.get(isSeq(parent) ? Number(key) : key, true) : undefined;
    if (!isCollection(node)) {
      // An alias, or a field that a merge key brings: this place gets a copy of its own.
      node = document.createNode(shown);
      if (isCollection(parent)) parent.set(isSeq(parent) ? Number(key) : key, node);
    }
  }
  const added: Node = document.createNode(value);
  if (isMap(node)) node.set(last, added);
  if (!isSeq(node)) return;
  // `[]` would put what is added on one line.
  if (node.items.length === 0) node.flow = false;
  node.items.splice(last === "-" ? node.items.length : Number(last), 0, added);
}

function applied(node: unknown, key: string): unknown {
  return Object.entries(Object(node)).find(([name]) => name === key)?.[1];
}

/** How a document is written, as far as that can be told to the writer. */
function styleOf(text: string): ToStringOptions {
  const [, indent] = /^(?:[^\s#-][^\n]*:[^\S\n]*\n)( +)\S/m.exec(text) ?? [];
  // A list whose dashes stand below the first letter of its key; comments may come between.
  const isFlush = /^( *)(?:- +)*[^\s#-][^\n]*:\s*\n(?:[^\S\n]*(?:#[^\n]*)?\n)*\1- /m.test(text);
  return {
    lineWidth: 0,
    indent: indent === undefined ? 2 : indent.length,
    indentSeq: !isFlush,
    flowCollectionPadding: !/[[{]["\w]/.test(text),
  };
}
