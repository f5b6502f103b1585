// A real SMTP server (Debian's python3-aiosmtpd) that keeps each mail, taken apart by Python's own library. It delivers nothing, and ends with
// the tests.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { waitUntil } from "./testShop";

const SCRIPT = `
import asyncio, email, email.policy, json
from aiosmtpd.smtp import SMTP

class Printer:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        print("MAIL " + json.dumps({
            "to": envelope.rcpt_tos[0],
            "subject": mail["Subject"],
            "headers": {name.lower(): value for name, value in mail.items()},
            "text": mail.get_body(["plain"]).get_content(),
            "html": mail.get_body(["html"]).get_content(),
        }))
        return "250 OK"

async def main():
    make = lambda: SMTP(Printer(), enable_SMTPUTF8=True)
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    print("PORT", server.sockets[0].getsockname()[1])
    await server.serve_forever()

asyncio.run(main())
`;

/** Reminders are planned every fifteen seconds. */
const MAIL_WAIT_MS_MAX = 60_000;

export interface ArrivedMail {
  to: string;
  subject: string;
  /** By name in small letters. */
  headers: Record<string, string>;
  text: string;
  html: string;
}

/** Debian's package is of Debian's Python, which need not be the first one on the path. */
function findPython(): string {
  const hasPackage = (python: string) => spawnSync(python, ["-c", "import aiosmtpd"]).status === 0;
  const found = ["python3", "/usr/bin/python3"].find(hasPackage);
  if (found === undefined) throw new Error("the journeys of mail need aiosmtpd: run scripts/setup.sh");
  return found;
}

export class MailServer {
  readonly #process: ChildProcess;
  #port: string | null = null;
  /** In the order of their arrival. */
  readonly mails: ArrivedMail[] = [];

  private constructor() {
    this.#process = spawn(findPython(), ["-u", "-c", SCRIPT], { stdio: ["ignore", "pipe", "inherit"] });
    if (this.#process.stdout === null) throw new Error("the mail server has no output");
    createInterface(this.#process.stdout).on("line", (line) => {
      if (line.startsWith("PORT ")) this.#port = line.slice("PORT ".length);
      if (line.startsWith("MAIL ")) this.mails.push(JSON.parse(line.slice("MAIL ".length)));
    });
  }

  static async start(): Promise<MailServer> {
    const server = new MailServer();
    await waitUntil(() => server.#port !== null, "the mail server listens");
    return server;
  }

  /** For `--smtp`. */
  get url(): string {
    return `smtp://127.0.0.1:${this.#port}`;
  }

  list(to: string, subject: RegExp): ArrivedMail[] {
    return this.mails.filter((mail) => mail.to === to && subject.test(mail.subject));
  }

  /** The mail with this number for an address, once it is there. */
  async waitFor(to: string, subject: RegExp, number = 1): Promise<ArrivedMail> {
    await waitUntil(
      () => this.list(to, subject).length >= number,
      `mail ${number} with ${subject} is there for ${to}`,
      MAIL_WAIT_MS_MAX,
    );
    return this.list(to, subject)[number - 1] as ArrivedMail;
  }

  stop(): void {
    this.#process.kill();
  }
}

/** The path of the first link in a mail's text that contains `part`. */
export function linkIn({ text }: ArrivedMail, part = ""): string {
  const link = (text.match(/https:\S+/g) ?? []).find((url) => url.includes(part));
  if (link === undefined) throw new Error(`no link with ${part} in: ${text}`);
  const { pathname, search, hash } = new URL(link);
  return pathname + search + hash;
}
