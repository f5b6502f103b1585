// The merchant's texts in one language, one file an area.

import board from "./en/board.json";
import catalogue from "./en/catalogue.json";
import integrations from "./en/integrations.json";
import orders from "./en/orders.json";
import payments from "./en/payments.json";
import records from "./en/records.json";
import shell from "./en/shell.json";
import webhooks from "./en/webhooks.json";

export default {
  ...shell,
  ...catalogue,
  ...board,
  ...records,
  ...orders,
  ...payments,
  ...webhooks,
  ...integrations,
};
