/** The content of an element: text, or its children by name. A list of contents repeats the element. */
export type XmlContent = string | number | boolean | XmlFields;

/** Child elements in order; absent ones are left out. */
export interface XmlFields {
  readonly [name: string]: XmlContent | readonly XmlContent[] | undefined;
}

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** Renders a document with one root element, in a default namespace if one is given. */
export function renderXml(root: string, xmlns: string | undefined, fields: XmlFields): string {
  const attribute = xmlns === undefined ? "" : ` xmlns="${escapeXml(xmlns)}"`;
  return `${DECLARATION}<${root}${attribute}>${renderFields(fields)}</${root}>`;
}

/** A list as the Query protocol writes it: `<Name><member>…</member></Name>`. */
export function members(items: readonly XmlContent[]): XmlFields {
  return { member: items };
}

function renderFields(fields: XmlFields): string {
  return Object.entries(fields)
    .flatMap(([name, content]) => {
      if (content === undefined) return [];
      return isList(content)
        ? content.map((item) => renderElement(name, item))
        : [renderElement(name, content)];
    })
    .join("");
}

function isList(content: XmlContent | readonly XmlContent[]): content is readonly XmlContent[] {
  return Array.isArray(content);
}

function renderElement(name: string, content: XmlContent): string {
  const inner = typeof content === "object" ? renderFields(content) : escapeXml(String(content));
  return `<${name}>${inner}</${name}>`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\r": "&#xD;",
};

function escapeXml(text: string): string {
  return (
    text
      .toWellFormed()
      // XML 1.0 section 2.2 has no way to write these, not even as a reference.
      // oxlint-disable-next-line no-control-regex
      .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
      .replaceAll(/[&<>"\r]/g, (character) => ESCAPES[character] ?? character)
  );
}
