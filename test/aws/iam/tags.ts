import { members, type XmlFields } from "../protocol/xml.ts";
import { structureListParameter, type QueryParameters } from "../protocol/query-parameters.ts";
import type { Tags } from "../store.ts";
import { invalidInput, quotaExceeded } from "./entity-errors.ts";

const MAX_TAGS = 50;
const MAX_KEY_CHARACTERS = 128;
const MAX_VALUE_CHARACTERS = 256;

/**
 * Adds the `Tags` of a call to those that are there. Keys are the same without regard to case.
 *
 * @param quota IAM's name of the quota, for the message.
 * @throws AwsError InvalidInput, LimitExceeded
 */
export function withTags(tags: Tags, parameters: QueryParameters, quota: string): Tags {
  const given = structureListParameter(parameters, "Tags", ["Key", "Value"]);
  const merged = new Map(tags);
  const seen = new Set<string>();
  for (const { Key: key = "", Value: value = "" } of given) {
    checkTag(key, value);
    if (seen.has(key.toLowerCase())) {
      throw invalidInput(
        "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
      );
    }
    seen.add(key.toLowerCase());
    const present = [...merged.keys()].find((name) => name.toLowerCase() === key.toLowerCase());
    if (present !== undefined) merged.delete(present);
    merged.set(key, value);
  }
  if (merged.size > MAX_TAGS) throw quotaExceeded(quota, MAX_TAGS);
  return merged;
}

/** Takes the tags with these keys away; keys that are not there do not matter. */
export function withoutTags(tags: Tags, keys: readonly string[]): Tags {
  const gone = new Set(keys.map((key) => key.toLowerCase()));
  return new Map([...tags].filter(([key]) => !gone.has(key.toLowerCase())));
}

/** The `Tags` of an answer. */
export function tagsXml(tags: Tags): XmlFields {
  return members([...tags].map(([Key, Value]) => ({ Key, Value })));
}

function checkTag(key: string, value: string): void {
  if (key === "" || key.length > MAX_KEY_CHARACTERS || value.length > MAX_VALUE_CHARACTERS) {
    throw invalidInput(
      `The tag "${key}" is not valid: expected a key of 1 to ${MAX_KEY_CHARACTERS} and a value of at most ${MAX_VALUE_CHARACTERS} characters`,
    );
  }
  if (key.toLowerCase().startsWith("aws:")) {
    throw invalidInput("aws: prefixed tag key names are not allowed for external use.");
  }
}
