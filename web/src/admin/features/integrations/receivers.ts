// The receivers of events as the page shows them: those that this version knows, in one order, and any other that the server names.
// Pure.

import type { AdminTextKey } from "../../lib/texts";
import type { Follower } from "./queries";

/** The names of followers, in the order of the page. */
export const RECEIVERS = ["projector", "webhooks", "mail", "kafka", "kafka_attempts"] as const;
export type ReceiverName = (typeof RECEIVERS)[number];

export type ReceiverState = "off" | "failing" | "behind" | "current";

export interface ReceiverRow {
  name: string;
  state: ReceiverState;
  /** `null` where it was never switched on. One that was switched off is there, and its state is `off`. */
  follower: Follower | null;
}

export function isKnownReceiver(name: string): name is ReceiverName {
  return (RECEIVERS as readonly string[]).includes(name);
}

export function listReceivers(followers: readonly Follower[]): ReceiverRow[] {
  const others = followers.map(({ name }) => name).filter((name) => !isKnownReceiver(name));
  return [...RECEIVERS, ...others].map((name) => {
    const follower = followers.find((known) => known.name === name) ?? null;
    return { name, state: receiverState(follower), follower };
  });
}

/** What a receiver does when it is set back. */
export function rewindText(name: string): AdminTextKey {
  if (name === "projector" || name === "webhooks" || name === "mail") return `integration.rewind_${name}`;
  return "integration.rewind_text";
}

function receiverState(follower: Follower | null): ReceiverState {
  // One that was switched off keeps its offsets and its last failure.
  if (!follower?.isOn) return "off";
  const { failure, eventsBehind } = follower;
  if (failure && !failure.endedAt) return "failing";
  return eventsBehind > 0 ? "behind" : "current";
}
