/**
 * The `accept` header that asks for metadata only, of one object (also for each event of a watch) or
 * of a list (Kubernetes, "API concepts", metadata-only fetches). An API server that does not know the
 * form, or finds a mistake in it, answers whole objects without a word.
 */
export function metadataOnly(kind: "PartialObjectMetadata" | "PartialObjectMetadataList"): string {
  return `application/json;as=${kind};v=v1;g=meta.k8s.io,application/json`;
}
