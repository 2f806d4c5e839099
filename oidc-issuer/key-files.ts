import { readFile } from "node:fs/promises";
import { AppError, reasonOf } from "../lib/errors.ts";
import { jwksOfPem } from "./jwk.ts";
import type { Answered, Failed, KeySource } from "./key-source.ts";

/**
 * The keys of a PEM file, such as the one of `--service-account-key-file` of kube-apiserver. The file is
 * read at each poll, so that a changed one is seen, also behind the symlinks of a mounted Secret.
 */
export function keyFileSource(path: string): KeySource {
  return { id: `file:${path}`, poll: () => readKeys(path) };
}

async function readKeys(path: string): Promise<Answered | Failed> {
  let pem: string;
  try {
    pem = await readFile(path, "utf8");
  } catch (err) {
    return { reason: "unreadable", message: `Cannot read the key file: ${reasonOf(err)}` };
  }
  try {
    return { keys: jwksOfPem(pem), filtered: [] };
  } catch (err) {
    if (!(err instanceof AppError)) throw err;
    return { reason: "invalid", message: `${err.message} in ${JSON.stringify(path)}` };
  }
}
