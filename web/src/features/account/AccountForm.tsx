// The form of the sign-in and registration pages. After success it starts the session and returns the buyer to the previous page.

import type { ReactNode } from "react";
import { Link, useLocation, useSearch } from "wouter";
import type { components } from "../../api/schema";
import { type TextKey, t } from "../../lib/i18n";
import { returnPath } from "../../lib/returnPath";
import { signIn } from "../../lib/session";
import { useTitle } from "../../lib/useTitle";

import type { AccountField } from "./accountFields";
import { FieldForm } from "./FieldForm";

interface Props {
  title: TextKey;
  fields: readonly AccountField[];
  send: (values: Record<string, string>) => Promise<components["schemas"]["SignedInReply"]>;
  /** The link to the other of the two pages. */
  other: { question: TextKey; path: string; label: TextKey };
  children?: ReactNode;
}

export function AccountForm({ title, fields, send, other, children }: Props) {
  useTitle(t(title));
  const search = useSearch();
  const [, navigate] = useLocation();
  return (
    <div className="mx-auto max-w-md pt-6">
      <h1 className="pb-7 page-title">{t(title)}</h1>
      <FieldForm
        fields={fields}
        send={send}
        label={t(title)}
        onSuccess={(reply) => {
          signIn(reply);
          navigate(returnPath(search), { replace: true });
        }}
      />
      {children}
      <p className="pt-6">
        {t(other.question)}{" "}
        <Link href={`${other.path}${search === "" ? "" : `?${search}`}`} className="text-link font-semibold">
          {t(other.label)}
        </Link>
      </p>
    </div>
  );
}
