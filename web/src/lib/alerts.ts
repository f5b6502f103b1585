// How a buyer hears of a turn while looking elsewhere: two quiet notes, and a notification of the browser. Both need the buyer's consent:
// a browser allows sound only after the page was touched, and notifications only when the buyer has said yes. The page asks for that
// when the buyer joins a line, never when it loads.

import { Store } from "./store";

const MUTED = "doorbuster.muted";

let audio: AudioContext | null = null;

export const isMuted = new Store<boolean>(readMuted());

function readMuted(): boolean {
  try {
    return localStorage.getItem(MUTED) === "yes";
  } catch {
    return false;
  }
}

export function setMuted(muted: boolean): void {
  isMuted.set(muted);
  try {
    if (muted) localStorage.setItem(MUTED, "yes");
    else localStorage.removeItem(MUTED);
  } catch {
    // Storage is forbidden: the choice lasts until the page is closed.
  }
}

/** Must run inside the handler of a click or a key. */
export function unlockChime(): void {
  try {
    audio ??= new AudioContext();
    void audio.resume();
  } catch {
    // This browser has no sound.
  }
}

export function playChime(): void {
  if (isMuted.get() || audio === null || audio.state !== "running") return;
  for (const [pitchHz, atS] of [
    [659.3, 0],
    [880, 0.18],
  ] as const) {
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    const start = audio.currentTime + atS;
    tone.frequency.value = pitchHz;
    volume.gain.setValueAtTime(0.0001, start);
    volume.gain.exponentialRampToValueAtTime(0.2, start + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.7);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + 0.75);
  }
}

/** `unasked`: the page may ask. A browser without notifications is as one that refuses them. */
export type NotificationConsent = "unasked" | "given" | "refused";

export const notificationConsent = new Store<NotificationConsent>(readConsent());

function readConsent(): NotificationConsent {
  if (typeof Notification === "undefined" || !globalThis.isSecureContext) return "refused";
  if (Notification.permission === "default") return "unasked";
  return Notification.permission === "granted" ? "given" : "refused";
}

/** Must run inside the handler of a click or a key. It asks once: after an answer the browser asks no more. */
export async function askForNotifications(): Promise<void> {
  if (readConsent() === "unasked") await Notification.requestPermission().catch(() => "denied");
  notificationConsent.set(readConsent());
}

/** Shows a notification while the page is not visible. A later one of the same `tag` replaces it. */
export function notify(title: string, body: string, tag: string): void {
  if (readConsent() !== "given" || document.visibilityState === "visible") return;
  try {
    const notification = new Notification(title, { body, tag, lang: document.documentElement.lang });
    notification.onclick = () => {
      window.focus();
      notification.close();
    };
  } catch {
    // Some phones allow notifications to service workers only. The sound and the title remain.
  }
}
