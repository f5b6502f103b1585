// LinePage.

export function LinePage({ id }: { id: string }) {
  return <p>LinePage {id}</p>;
}
