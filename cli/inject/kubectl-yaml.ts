import type { CollectionTag, DocumentOptions, ScalarTag, SchemaOptions } from "yaml";

/**
 * How manifests are read and written: as kubectl reads them (sigs.k8s.io/yaml). That is YAML 1.1, in
 * which `0400` is octal and `yes` a boolean, with merge keys, but with dates and numbers in base 60
 * left as text, and with YAML 1.2's `0o400` as well.
 *
 * What was read is written as it was spelled. Whole numbers that no double can hold are bigints.
 */
export const KUBECTL_YAML: DocumentOptions & SchemaOptions = {
  schema: "yaml-1.1",
  merge: true,
  customTags: (tags) => [
    ...tags.flatMap((tag) => (typeof tag === "string" ? tag : read(tag))),
    spelledAsRead(YAML_1_2_OCTAL),
  ],
};

type Tag = ScalarTag | CollectionTag;

const INTEGER = "tag:yaml.org,2002:int";
const FLOAT = "tag:yaml.org,2002:float";

const YAML_1_2_OCTAL: ScalarTag = {
  // It reads only: there is nothing that a new value would have to be written so for.
  identify: () => false,
  default: true,
  tag: INTEGER,
  test: /^0o[0-7]+$/,
  resolve: (text) => BigInt(text),
};

function read(tag: Tag): Tag | readonly [] {
  if (tag.collection !== undefined) return tag;
  const isBase60 = tag.format === "TIME";
  if (isBase60 || tag.tag === "tag:yaml.org,2002:timestamp") return [];
  return tag.tag === INTEGER || tag.tag === FLOAT ? spelledAsRead(tag) : tag;
}

function spelledAsRead(tag: ScalarTag): ScalarTag {
  return {
    ...tag,
    resolve(text, onError, options) {
      const value = tag.resolve(text, onError, { ...options, intAsBigInt: true });
      const isSmall = typeof value === "bigint" && Number.isSafeInteger(Number(value));
      return isSmall ? Number(value) : value;
    },
    stringify: (item, ...rest) =>
      item.source ?? tag.stringify?.(item, ...rest) ?? String(item.value),
  };
}
