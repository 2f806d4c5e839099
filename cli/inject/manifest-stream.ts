import { LineCounter, parseAllDocuments, type Document } from "yaml";
import { AppError, reasonOf } from "../../lib/errors.ts";
import { KUBECTL_YAML } from "./kubectl-yaml.ts";

/** One document of a stream of manifests. */
export interface Manifest {
  /** Where it came from, for messages: `pod.yaml document 2`. */
  readonly place: string;
  /** Its text as it came, with the comments and directives before it. */
  readonly text: string;
  readonly document: Document;
  /** What it says; null for an empty document. */
  readonly content: unknown;
}

export interface ManifestStream {
  readonly manifests: readonly Manifest[];
  /** Text after the last document, such as a comment in a file of comments only. */
  readonly rest: string;
}

/**
 * Reads YAML (and so JSON) documents, without losing a byte of their texts.
 *
 * @param name What the source is called in messages.
 * @throws AppError INPUT_INVALID naming each mistake with source, document and line.
 */
export function parseManifests(source: string, name: string): ManifestStream {
  const lineCounter = new LineCounter();
  const options = { ...KUBECTL_YAML, lineCounter, prettyErrors: false };
  const documents = parseAllDocuments(source, options);
  if ("empty" in documents) return { manifests: [], rest: source };

  const problems: string[] = [];
  const manifests: Manifest[] = [];
  let startsAt = 0;
  for (const [i, document] of documents.entries()) {
    const place = `${name} document ${i + 1}`;
    const endsAt = document.range[2];
    for (const { message, pos } of document.errors) {
      problems.push(`${place}, line ${lineCounter.linePos(pos[0]).line}: ${message}`);
    }
    manifests.push({
      place,
      document,
      text: source.slice(startsAt, endsAt),
      content: problems.length === 0 ? contentOf(document, place, problems) : undefined,
    });
    startsAt = endsAt;
  }
  if (problems.length > 0) {
    throw new AppError("INPUT_INVALID", 400, `Cannot read YAML:\n  ${problems.join("\n  ")}`);
  }
  return { manifests, rest: source.slice(startsAt) };
}

function contentOf(document: Document, place: string, problems: string[]): unknown {
  try {
    return withoutSharing(document.toJS());
  } catch (err) {
    // An alias without an anchor, or more of them than a manifest can need.
    problems.push(`${place}: ${reasonOf(err)}`);
    return undefined;
  }
}

/** A copy in which no two places are the same object, as those of an anchor and its aliases are. */
function withoutSharing(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSharing);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, withoutSharing(v)]));
}
