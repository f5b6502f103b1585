"""Lets an aiosmtpd refuse recipients, and hold back its replies, as the test wants. The server itself and the mailbox are aiosmtpd's own."""

import asyncio
import os

from aiosmtpd.handlers import Mailbox


class RefusingMailbox(Mailbox):
    """Keeps mails in a Maildir, and replies to a recipient what the file `replies/RECIPIENT` says: the reply on its first line, how often on
    its second. While there is a file `hold` it keeps mails, and does not reply that it has them."""

    async def handle_DATA(self, server, session, envelope):
        reply = await super().handle_DATA(server, session, envelope)
        while os.path.exists(os.path.join(os.path.dirname(self.mail_dir), "hold")):
            await asyncio.sleep(0.01)
        return reply

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        path = os.path.join(os.path.dirname(self.mail_dir), "replies", address)
        try:
            with open(path, encoding="utf-8") as file:
                reply, count = file.read().splitlines()
        except FileNotFoundError:
            envelope.rcpt_tos.append(address)
            return "250 OK"
        if int(count) <= 1:
            os.remove(path)
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"{reply}\n{int(count) - 1}\n")
        return reply
