// ProductPage.

export function ProductPage({ id }: { id?: string }) {
  return <p>ProductPage {id}</p>;
}
