import type { KeySource } from "../identity-provider/key-source.ts";
import type { QueryActions } from "../protocol/query-action.ts";
import { listParameter, type QueryParameters } from "../protocol/query-parameters.ts";
import { checkItems, readParameters, text } from "../protocol/validation.ts";
import { members, type XmlFields } from "../protocol/xml.ts";
import type { Account, Provider, Tags } from "../store.ts";
import { entityAlreadyExists, invalidInput, noSuchEntity, quotaExceeded } from "./entity-errors.ts";
import { pageOf } from "./paging.ts";
import { tagsXml, withoutTags, withTags } from "./tags.ts";

const ARN = { OpenIDConnectProviderArn: text({ min: 20, max: 2048 }) };
const CLIENT_ID = { min: 1, max: 255 };
const URL_FIELD = { Url: text({ min: 1, max: 255 }) };
const ARN_AND_CLIENT_ID = { ...ARN, ClientID: text(CLIENT_ID) };

const MAX_PROVIDERS = 100;
const MAX_CLIENT_IDS = 100;
const MAX_THUMBPRINTS = 5;
const CLIENT_IDS_QUOTA = "ClientIdsPerOpenIdConnectProvider";
const TAGS_QUOTA = "TagsPerOpenIdConnectProvider";

/** The actions of IAM for OpenID Connect providers. */
export function providerActions(keySource: Pick<KeySource, "thumbprintFor">): QueryActions {
  return {
    CreateOpenIDConnectProvider: {
      access: "administrator",
      async run({ parameters, nowMs }, { account }) {
        const url = parseProviderUrl(readParameters(parameters, URL_FIELD).Url);
        const clientIds = unique(listParameter(parameters, "ClientIDList") ?? []);
        checkItems("ClientIDList", clientIds, CLIENT_ID);
        if (clientIds.length > MAX_CLIENT_IDS) {
          throw quotaExceeded(CLIENT_IDS_QUOTA, MAX_CLIENT_IDS);
        }
        const tags = withTags(new Map(), parameters, TAGS_QUOTA);
        const given = thumbprintsOf(parameters);
        assertNew(account, url);
        const thumbprints = given ?? [await keySource.thumbprintFor(`https://${url}`)];
        // Another call may have come first while the issuer was asked.
        assertNew(account, url);
        const arn = `arn:${account.partition}:iam::${account.id}:oidc-provider/${url}`;
        account.providers.set(url, { arn, url, clientIds, thumbprints, tags, createdAtMs: nowMs });
        return { OpenIDConnectProviderArn: arn, Tags: tagsXml(tags) };
      },
    },
    GetOpenIDConnectProvider: reading((provider) => ({
      Url: provider.url,
      ClientIDList: members(provider.clientIds),
      ThumbprintList: members(provider.thumbprints),
      CreateDate: new Date(provider.createdAtMs).toISOString(),
      Tags: tagsXml(provider.tags),
    })),
    ListOpenIDConnectProviders: {
      access: "administrator",
      run: (_call, { account }) => ({
        OpenIDConnectProviderList: members(
          [...account.providers.values()].map(({ arn }) => ({ Arn: arn })),
        ),
      }),
    },
    DeleteOpenIDConnectProvider: {
      access: "administrator",
      run({ parameters }, { account }) {
        account.providers.delete(findProvider(account, parameters).url);
        return undefined;
      },
    },
    ListOpenIDConnectProviderTags: reading(({ tags }, parameters) =>
      pageOf(parameters, "Tags", {
        items: [...tags],
        render: ([Key, Value]) => ({ Key, Value }),
      }),
    ),
    TagOpenIDConnectProvider: changing(({ tags }, parameters) => ({
      tags: withTags(tags, parameters, TAGS_QUOTA),
    })),
    UntagOpenIDConnectProvider: changing(({ tags }, parameters): { tags: Tags } => ({
      tags: withoutTags(tags, listParameter(parameters, "TagKeys") ?? []),
    })),
    AddClientIDToOpenIDConnectProvider: changing(({ clientIds }, parameters) => {
      const added = unique([...clientIds, readParameters(parameters, ARN_AND_CLIENT_ID).ClientID]);
      if (added.length > MAX_CLIENT_IDS) throw quotaExceeded(CLIENT_IDS_QUOTA, MAX_CLIENT_IDS);
      return { clientIds: added };
    }),
    RemoveClientIDFromOpenIDConnectProvider: changing(({ clientIds }, parameters) => {
      const { ClientID } = readParameters(parameters, ARN_AND_CLIENT_ID);
      return { clientIds: clientIds.filter((clientId) => clientId !== ClientID) };
    }),
    UpdateOpenIDConnectProviderThumbprint: changing((_provider, parameters) => {
      const thumbprints = thumbprintsOf(parameters);
      if (thumbprints !== undefined) return { thumbprints };
      throw invalidInput("Thumbprint list must contain at least one entry.");
    }),
  };
}

function reading(
  answer: (provider: Provider, parameters: QueryParameters) => XmlFields,
): QueryActions[string] {
  return {
    access: "administrator",
    run: ({ parameters }, { account }) => answer(findProvider(account, parameters), parameters),
  };
}

function changing(
  change: (provider: Provider, parameters: QueryParameters) => Partial<Provider>,
): QueryActions[string] {
  return {
    access: "administrator",
    run({ parameters }, { account }) {
      const provider = findProvider(account, parameters);
      account.providers.set(provider.url, { ...provider, ...change(provider, parameters) });
      return undefined;
    },
  };
}

function findProvider(account: Account, parameters: QueryParameters): Provider {
  const arn = readParameters(parameters, ARN).OpenIDConnectProviderArn;
  const provider = account.providers.get(arn.split(":oidc-provider/")[1] ?? "");
  if (provider?.arn === arn) return provider;
  throw noSuchEntity(`OpenIDConnect Provider not found for arn ${arn}`);
}

/**
 * The URL as IAM keeps it: verbatim but for the scheme and `:443`. A query or fragment was recorded
 * as `Unknown`. Other ports are allowed here, unlike on AWS, for issuers on this machine.
 */
function parseProviderUrl(url: string): string {
  if (/[?#]/.test(url)) throw invalidInput("Unknown");
  const rest = /^https:\/\/(.+)$/.exec(url)?.[1];
  if (rest === undefined || !URL.canParse(url)) {
    throw invalidInput("Invalid Open ID Connect Provider URL");
  }
  return rest.replace(/^([^/]*):443(?=\/|$)/, "$1");
}

function thumbprintsOf(parameters: QueryParameters): readonly string[] | undefined {
  const given = listParameter(parameters, "ThumbprintList");
  if (given === undefined) return undefined;
  checkItems("ThumbprintList", given, { min: 40, max: 40 });
  // The text says fewer than it means: five entries are taken.
  if (given.length > MAX_THUMBPRINTS) {
    throw invalidInput(`Thumbprint list must contain fewer than ${MAX_THUMBPRINTS} entries.`);
  }
  return given.map((thumbprint) => thumbprint.toLowerCase());
}

function assertNew(account: Account, url: string): void {
  if (account.providers.has(url)) {
    throw entityAlreadyExists(`Provider with url https://${url} already exists.`);
  }
  if (account.providers.size >= MAX_PROVIDERS) {
    throw quotaExceeded("OpenIdConnectProvidersPerAccount", MAX_PROVIDERS);
  }
}

function unique(items: readonly string[]): readonly string[] {
  return [...new Set(items)];
}
