-- The guests of one e-mail address that have tried to order in a sale: the limit per buyer counts their orders together.
CREATE TABLE guest_orders (
    sale_id TEXT NOT NULL,
    name TEXT NOT NULL,
    buyer_id TEXT NOT NULL,
    PRIMARY KEY (sale_id, name, buyer_id)
);
