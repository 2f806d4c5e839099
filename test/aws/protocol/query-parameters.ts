/** The parameters of a Query API call by their wire names (`ClientIDList.member.1`). */
export type QueryParameters = ReadonlyMap<string, string>;

/** Joins the query string and a form body; the body wins where both name a parameter. */
export function parseQueryParameters(query: string, formBody: string): QueryParameters {
  return new Map([...new URLSearchParams(query), ...new URLSearchParams(formBody)]);
}

/** The values of `Name.member.1`, `Name.member.2`, … in order; undefined when there is none. */
export function listParameter(
  parameters: QueryParameters,
  name: string,
): readonly string[] | undefined {
  const items = memberNumbers(parameters, name).map((n) => parameters.get(`${name}.member.${n}`));
  const texts = items.filter((item) => item !== undefined);
  return texts.length === 0 ? undefined : texts;
}

/** The structures `Name.member.1.Field`, … in order, each with the asked fields. */
export function structureListParameter<const F extends string>(
  parameters: QueryParameters,
  name: string,
  fields: readonly F[],
): readonly { readonly [K in F]: string | undefined }[] {
  return memberNumbers(parameters, name).map((n) => {
    const entries = fields.map((field) => [field, parameters.get(`${name}.member.${n}.${field}`)]);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- one entry for each field
    return Object.fromEntries(entries) as { [K in F]: string | undefined };
  });
}

function memberNumbers(parameters: QueryParameters, name: string): readonly number[] {
  const prefix = `${name}.member.`;
  const numbers = [...parameters.keys()]
    .filter((key) => key.startsWith(prefix))
    .map((key) => /^\d+/.exec(key.slice(prefix.length))?.[0])
    .filter((digits) => digits !== undefined);
  return [...new Set(numbers.map(Number))].toSorted((a, b) => a - b);
}
