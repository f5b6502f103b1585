// The title of a page and its actions. The title takes the focus, so that screen readers announce the new page.

import { type ReactNode, useEffect, useRef } from "react";

export function PageHeader({ title, children }: { title: string; children?: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return (
    <div className="flex flex-wrap items-center justify-between gap-x-6 gap-y-3 pb-6">
      <h1 ref={heading} tabIndex={-1} className="min-w-0 text-2xl md:text-3xl">
        <bdi>{title}</bdi>
      </h1>
      <div className="flex flex-wrap gap-3">{children}</div>
    </div>
  );
}
