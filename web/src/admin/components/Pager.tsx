// The end of a list: the button for more, and the text for an empty list or for a search that is not complete.

import { LoadMore } from "../../components/LoadMore";
import { t } from "../lib/texts";

interface Props {
  count: number;
  none: string;
  query: Parameters<typeof LoadMore>[0]["query"];
}

export function Pager({ count, none, query }: Props) {
  return (
    <div className="grid justify-items-start pt-6">
      <p role="status" className={count === 0 ? "text-lg text-soft" : "sr-only"}>
        {count === 0 && (query.hasNextPage ? t("line.search_on") : none)}
      </p>
      <LoadMore query={query} text={count === 0 ? t("line.look_further") : t("list.more")} />
    </div>
  );
}
