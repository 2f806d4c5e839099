import { members, type XmlContent, type XmlFields } from "../protocol/xml.ts";
import type { QueryParameters } from "../protocol/query-parameters.ts";
import { integer, optionalText, readParameters } from "../protocol/validation.ts";
import { invalidInput } from "./entity-errors.ts";

const FIELDS = {
  MaxItems: integer({ min: 1, max: 1000, fallback: 100 }),
  Marker: optionalText({ min: 1, max: 320 }),
};

/**
 * One page of a list as IAM gives it: up to MaxItems, and a Marker when there are more.
 *
 * @param name The element that holds the list.
 * @throws AwsError ValidationError, InvalidInput for a marker that is none of ours
 */
export function pageOf<T>(
  parameters: QueryParameters,
  name: string,
  list: { readonly items: readonly T[]; readonly render: (item: T) => XmlContent },
): XmlFields {
  const { MaxItems, Marker } = readParameters(parameters, FIELDS);
  const start = Marker === undefined ? 0 : readMarker(Marker);
  const end = start + MaxItems;
  const isTruncated = end < list.items.length;
  return {
    [name]: members(list.items.slice(start, end).map(list.render)),
    IsTruncated: isTruncated,
    Marker: isTruncated ? writeMarker(end) : undefined,
  };
}

function writeMarker(offset: number): string {
  return Buffer.from(`offset:${offset}`).toString("base64url");
}

function readMarker(marker: string): number {
  const text = Buffer.from(marker, "base64url").toString("utf8");
  const offset = /^offset:(\d{1,9})$/.exec(text)?.[1];
  if (offset === undefined) throw invalidInput(`Invalid Marker: ${marker}`);
  return Number(offset);
}
