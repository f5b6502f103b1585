// SaleFormPage.

export function SaleFormPage({ id }: { id?: string }) {
  return <p>SaleFormPage {id}</p>;
}
