// How a waiting buyer will hear of the turn: the switch for the sound, and the button that asks for notifications.

import { askForNotifications, isMuted, notificationConsent, setMuted, unlockChime } from "../../lib/alerts";
import { t } from "../../lib/i18n";
import { useStore } from "../../lib/store";

export function TurnAlerts() {
  const muted = useStore(isMuted);
  const consent = useStore(notificationConsent);
  return (
    <div className="grid justify-items-start gap-1 text-sm">
      <p className="text-soft">{t("alerts.text")}</p>
      <div className="flex flex-wrap gap-x-5 gap-y-1">
        <button
          type="button"
          className="text-link py-1"
          aria-pressed={!muted}
          onClick={() => {
            unlockChime();
            setMuted(!muted);
          }}
        >
          {t(muted ? "alerts.sound_off" : "alerts.sound_on")}
        </button>
        {consent === "unasked" && (
          <button type="button" className="text-link py-1" onClick={() => void askForNotifications()}>
            {t("alerts.ask")}
          </button>
        )}
        {consent === "given" && <span className="py-1 text-soft">{t("alerts.given")}</span>}
      </div>
    </div>
  );
}
