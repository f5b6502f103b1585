// The merchant's texts in one language, one file an area.

import board from "./ar/board.json";
import catalogue from "./ar/catalogue.json";
import integrations from "./ar/integrations.json";
import orders from "./ar/orders.json";
import payments from "./ar/payments.json";
import records from "./ar/records.json";
import shell from "./ar/shell.json";
import webhooks from "./ar/webhooks.json";

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
