// The merchant's texts in one language, one file an area.

import board from "./de/board.json";
import catalogue from "./de/catalogue.json";
import integrations from "./de/integrations.json";
import orders from "./de/orders.json";
import payments from "./de/payments.json";
import records from "./de/records.json";
import shell from "./de/shell.json";
import webhooks from "./de/webhooks.json";

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
