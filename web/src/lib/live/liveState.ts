// Whether this tab gets live updates over its socket.

import { connection } from "../connection";
import { Store, useStore } from "../store";

/**
 * - `off`: no page wants live updates.
 * - `joining`: not connected, or not long enough to be relied on.
 * - `steady`: updates come over the socket; polls are a safety net.
 * - `full`: the server accepts no further socket of this buyer, or of this address.
 */
export type LiveState = "off" | "joining" | "steady" | "full";

export const liveState = new Store<LiveState>("off");

/** Whether updates come over the socket. While requests get no reply, the socket is not relied on either. */
export function useIsLive(): boolean {
  const state = useStore(liveState);
  const requests = useStore(connection);
  return state === "steady" && (requests === "good" || requests === "slow");
}
