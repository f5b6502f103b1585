// Computes a buyer's place, and the estimate of the wait, from the feed of a line and the buyer's ticket (docs/line-feed.md). Pure. The
// server's tests and these share their cases: crates/documents/tests/line-feed-vectors.json.

import type { components } from "../api/schema";

export type LineFeed = components["schemas"]["LineFeedJson"];
type Line = components["schemas"]["LineJson"];

interface FeedPlace {
  position: number;
  /** `null` where nobody can say when the turn comes. */
  estimatedWaitSeconds: number | null;
}

/** The place of a ticket at a moment of the server's time; `null` for a ticket that does not wait, as far as the feed knows. */
export function computePlace(feed: LineFeed, ticket: number, nowMs: number): FeedPlace | null {
  const position = feed.line ? findPosition(feed.line, ticket) : null;
  if (position === null) return null;
  return { position, estimatedWaitSeconds: estimateWait(feed, ticket, position, nowMs) };
}

function findPosition(line: Line, ticket: number): number | null {
  const offset = ticket - line.serving;
  if (offset < 1 || ticket > line.lastTicket) return null;
  const gone = decodeBase64(line.gone);
  if (offset <= line.exactTickets) {
    return isGone(gone, offset - 1) ? null : offset - countGone(gone, offset - 1);
  }
  let tickets = line.exactTickets;
  let places = line.exactTickets - countGone(gone, line.exactTickets);
  const numbers = decodeNumbers(decodeBase64(line.blocks));
  for (let index = 0; index + 1 < numbers.length; index += 2) {
    const length = numbers[index] ?? 0;
    const waiting = length - (numbers[index + 1] ?? 0);
    const within = offset - tickets;
    if (within <= length) {
      if (waiting === 0) return null;
      // As if those who wait were spread evenly over the block.
      const even = Math.floor((2 * waiting * within + length) / (2 * length));
      return places + Math.min(Math.max(even, 1), waiting);
    }
    tickets += length;
    places += waiting;
  }
  return null;
}

function isGone(gone: Uint8Array, index: number): boolean {
  return (((gone[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;
}

/** How many of the first so many tickets no longer wait. */
function countGone(gone: Uint8Array, tickets: number): number {
  let count = 0;
  const bits = Math.min(tickets, gone.length * 8);
  for (let index = 0; index < bits; index += 1) if (isGone(gone, index)) count += 1;
  return count;
}

function decodeBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Reads LEB128: seven bits a byte, the lowest first. */
function decodeNumbers(bytes: Uint8Array): number[] {
  const numbers: number[] = [];
  let number = 0;
  let factor = 1;
  for (const byte of bytes) {
    number += (byte & 0x7f) * factor;
    factor *= 128;
    if (byte < 0x80) {
      numbers.push(number);
      number = 0;
      factor = 1;
    }
  }
  return numbers;
}

/** The same as in the law (crates/sale/src/estimate.rs). */
function estimateWait(feed: LineFeed, ticket: number, position: number, nowMs: number): number | null {
  const startsMs = Date.parse(feed.startsAt);
  const endsMs = Date.parse(feed.endsAt);
  if (feed.paused || feed.status === "closed" || nowMs >= endsMs) return null;
  if (!unitsReach(feed, ticket, position, nowMs - startsMs)) return null;
  const untilStartS = Math.ceil(Math.max(0, startsMs - nowMs) / 1000);
  const waitS = untilStartS + Math.floor((position - 1) / Math.max(1, feed.perSecond));
  return waitS * 1000 < endsMs - nowMs ? waitS : null;
}

const PRIOR_TURNS = 10;
const PRIOR_UNITS_MAX = 4;

/** Whether the free units last until this place is reached, if each turn takes as many as those that are over did. */
function unitsReach(feed: LineFeed, ticket: number, position: number, openMs: number): boolean {
  const { available, admitted, held, sold, limitPerBuyer, perSecond } = feed;
  if (position > available) return false;
  const gone = Math.max(0, ticket - position);
  const turnsMax = openMs < 0 ? 0 : perSecond * (Math.floor(openMs / 1000) + 1);
  const turnsOver = Math.max(0, Math.min(gone, turnsMax) - admitted);
  const turns = 2 * (turnsOver + PRIOR_TURNS);
  const expected = PRIOR_TURNS * (Math.min(limitPerBuyer, PRIOR_UNITS_MAX) + 1);
  const observed = 2 * (sold + held) + expected;
  const taken = Math.min(Math.max(observed, turns), turns * Math.max(1, limitPerBuyer));
  return (position - 1 + admitted) * taken + turns <= (available + admitted) * turns;
}
