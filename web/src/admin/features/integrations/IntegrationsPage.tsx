// What gets the shop's events: how each receiver is, how far it has come, and setting it back; and the shop's mails.

import { Link } from "wouter";
import { LoadError } from "../../../components/Notices";
import { useFeatures } from "../../../lib/useFeatures";
import { useTitle } from "../../../lib/useTitle";
import { AdminNotFound } from "../../components/AdminNotFound";
import { PageHeader } from "../../components/PageHeader";
import { t } from "../../lib/texts";
import { MailList } from "./MailList";
import { MailSwitchList } from "./MailSwitchList";
import { useFollowers } from "./queries";
import { ReceiverPanel } from "./ReceiverPanel";
import { listReceivers } from "./receivers";

export default function IntegrationsPage() {
  useTitle(t("nav.integrations"));
  const hasMail = useFeatures()?.mail === true;
  const { data, error, isPending, refetch } = useFollowers();
  return (
    <>
      <PageHeader title={t("nav.integrations")}>
        <Link href="/admin/webhooks" className="button button-quiet">
          {t("nav.webhooks")}
        </Link>
      </PageHeader>
      <p className="max-w-prose pb-6 text-soft">{t("integration.intro")}</p>
      {isPending && <div className="skeleton h-64" aria-busy="true" />}
      {!isPending && data === undefined && (
        <LoadError error={error} onRetry={refetch} lost={<AdminNotFound />} />
      )}
      {data !== undefined && (
        <ul className="divide-y divide-line rounded-xl border border-line bg-card">
          {listReceivers(data.items).map((receiver) => (
            <ReceiverPanel key={receiver.name} receiver={receiver} />
          ))}
        </ul>
      )}
      {hasMail && (
        <div className="grid gap-10 pt-10">
          <MailList />
          <MailSwitchList />
        </div>
      )}
    </>
  );
}
