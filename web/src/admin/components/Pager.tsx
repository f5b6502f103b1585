// The end of a list: more of it, and what a list says that is empty, or that has not been searched to its end.

import { More } from "../../components/More";
import { t } from "../lib/texts";

interface Props {
  count: number;
  /** What is said when there is nothing. */
  none: string;
  hasMore: boolean;
  isLoading: boolean;
  onMore: () => void;
}

export function Pager({ count, none, hasMore, isLoading, onMore }: Props) {
  return (
    <div className="grid justify-items-start pt-6">
      <p role="status" className={count === 0 ? "text-lg text-soft" : "sr-only"}>
        {count === 0 && (hasMore ? t("line.search_on") : none)}
      </p>
      {hasMore && (
        <More
          text={count === 0 ? t("line.look_further") : t("list.more")}
          isLoading={isLoading}
          onMore={onMore}
        />
      )}
    </div>
  );
}
