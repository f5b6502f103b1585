// A file that only who is signed in may have: fetched with the token and saved. Where the browser lets a page write to the
// disk, it goes there piece by piece, so a file may be larger than the memory; else it is saved when it is complete.

import { ApiError, NetworkError, SessionEndedError } from "../../lib/errors";
import { accessToken, renewToken } from "../../lib/session";

/** How long the server may take to begin. How long the whole file takes is the network's business. */
const BEGIN_MS = 15_000;
/** The address of a saved file is let go after this: the browser has begun to copy it by then. */
const KEPT_MS = 60_000;

interface Target {
  createWritable(): Promise<WritableStream<Uint8Array>>;
}
type Picker = (options: { suggestedName: string }) => Promise<Target>;

/** Saves what is at `path`. False when the person thought better of it. */
export async function download(path: string, name: string): Promise<boolean> {
  const picker = (globalThis as { showSaveFilePicker?: Picker }).showSaveFilePicker;
  let target: Target | null = null;
  if (picker) {
    try {
      // Before anything else: browsers allow it only right after a press.
      target = await picker({ suggestedName: name });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return false;
      // It is there but not allowed: then as everywhere else.
    }
  }
  const response = await fetched(path);
  if (target !== null && response.body !== null) {
    await response.body.pipeTo(await target.createWritable()).catch(broken);
  } else {
    save(await response.blob().catch(broken), name);
  }
  return true;
}

async function fetched(path: string): Promise<Response> {
  const token = await accessToken();
  let response = await once(path, token);
  if (response.status === 401 && token !== null) response = await once(path, await renewToken(token));
  if (response.ok) return response;
  if (response.status === 401) throw new SessionEndedError();
  throw new ApiError(response, await response.json().catch(() => ({})));
}

async function once(path: string, token: string | null): Promise<Response> {
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), BEGIN_MS);
  try {
    return await fetch(path, { headers, signal: patience.signal, cache: "no-store" });
  } catch (error) {
    throw new NetworkError(error);
  } finally {
    clearTimeout(timer);
  }
}

function broken(error: unknown): never {
  throw new NetworkError(error);
}

function save(file: Blob, name: string): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}
