// LedgerPage.

export function LedgerPage({ id }: { id: string }) {
  return <p>LedgerPage {id}</p>;
}
