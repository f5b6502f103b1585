// The stand-in for Stripe's API, a server of its own in this repository, as a process. Its page lets a buyer pay, be declined, or go back.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { waitUntil } from "./testShop";

const READY = /is at (http:\S+); its key is (\S+), its webhook secret (\S+)\.$/;

/** It is built beside the server. */
function findBinary(): string {
  const binary = join(dirname(process.env.DOORBUSTER_BINARY ?? ""), "stripe-stand-in");
  if (existsSync(binary)) return binary;
  throw new Error(`${binary} is missing: cargo build -p test-servers --bin stripe-stand-in`);
}

export class StripeStandIn {
  readonly #process: ChildProcess;
  readonly #folder = mkdtempSync(join(tmpdir(), "doorbuster-stripe-"));
  #ready: RegExpMatchArray | null = null;

  private constructor() {
    this.#process = spawn(findBinary(), ["127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
    if (this.#process.stdout === null) throw new Error("the stand-in has no output");
    createInterface(this.#process.stdout).on("line", (line) => {
      this.#ready ??= line.match(READY);
    });
  }

  static async start(): Promise<StripeStandIn> {
    const standIn = new StripeStandIn();
    await waitUntil(() => standIn.#ready !== null, "the stand-in listens");
    return standIn;
  }

  get url(): string {
    return this.#ready?.[1] ?? "";
  }

  /** The flags of a shop that is paid through it. Keys are given in files, as to a real shop. */
  get flags(): string[] {
    const file = (name: string, secret = "") => {
      const path = join(this.#folder, name);
      writeFileSync(path, secret, { mode: 0o600 });
      return path;
    };
    return [
      "--payments=stripe",
      `--stripe-api=${this.url}`,
      `--stripe-key-file=${file("key", this.#ready?.[2])}`,
      `--stripe-webhook-secret-file=${file("webhook", this.#ready?.[3])}`,
    ];
  }

  async control(command: string, parameters: Record<string, string>) {
    const reply = await fetch(`${this.url}/control/${command}`, {
      method: "POST",
      body: new URLSearchParams(parameters),
    });
    if (!reply.ok) throw new Error(`${command}: ${await reply.text()}`);
    return reply.json();
  }

  /** What the shop keeps of all payments, in minor units of EUR. */
  async moneyKept(): Promise<number> {
    return (await this.control("money", { currency: "eur" })).kept;
  }

  stop(): void {
    this.#process.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
