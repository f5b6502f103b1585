// Downloads a file that needs the access token. Where the browser lets a page write to the disk, it streams the file there, so that the
// file may be larger than the memory; elsewhere it saves the file when it is complete.

import { atApi } from "../../../lib/apiOrigin";
import { ApiError, NetworkError, SessionEndedError } from "../../../lib/errors";
import { accessToken, renewToken } from "../../../lib/session";

/** The limit for the start of the reply. The whole file has no limit. */
const START_TIMEOUT_MS = 15_000;
/** The object URL is revoked after this time; the browser has started to copy the file by then. */
const URL_LIFETIME_MS = 60_000;

interface FileTarget {
  createWritable(): Promise<WritableStream<Uint8Array>>;
}
type FilePicker = (options: { suggestedName: string }) => Promise<FileTarget>;

/** Saves the file at `path`. Returns false when the user cancels. */
export async function download(path: string, name: string): Promise<boolean> {
  const picker = (globalThis as { showSaveFilePicker?: FilePicker }).showSaveFilePicker;
  let target: FileTarget | null = null;
  if (picker) {
    try {
      // This must come first: browsers allow it only directly after a click.
      target = await picker({ suggestedName: name });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return false;
      // The picker exists but is forbidden: save the complete file instead.
    }
  }
  const response = await fetchFile(path);
  if (target !== null && response.body !== null) {
    await response.body.pipeTo(await target.createWritable()).catch(throwNetworkError);
  } else {
    saveBlob(await response.blob().catch(throwNetworkError), name);
  }
  return true;
}

async function fetchFile(path: string): Promise<Response> {
  const token = await accessToken();
  let response = await requestFile(path, token);
  if (response.status === 401 && token !== null) response = await requestFile(path, await renewToken(token));
  if (response.ok) return response;
  if (response.status === 401) throw new SessionEndedError();
  throw new ApiError(response, await response.json().catch(() => ({})));
}

async function requestFile(path: string, token: string | null): Promise<Response> {
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), START_TIMEOUT_MS);
  try {
    return await fetch(atApi(path), { headers, signal: timeout.signal, cache: "no-store" });
  } catch (error) {
    throw new NetworkError(error);
  } finally {
    clearTimeout(timer);
  }
}

function throwNetworkError(error: unknown): never {
  throw new NetworkError(error);
}

function saveBlob(file: Blob, name: string): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), URL_LIFETIME_MS);
}
