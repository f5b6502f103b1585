// OrdersPage.

export function OrdersPage({ saleId }: { saleId?: string }) {
  return <p>OrdersPage {saleId}</p>;
}
