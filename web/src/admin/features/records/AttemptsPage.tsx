// AttemptsPage.

export function AttemptsPage({ id }: { id: string }) {
  return <p>AttemptsPage {id}</p>;
}
