// SalesPage.

export function SalesPage() {
  return <p>SalesPage</p>;
}
