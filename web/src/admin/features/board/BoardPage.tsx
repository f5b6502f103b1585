// BoardPage.

export default function BoardPage({ id }: { id: string }) {
  return <p>BoardPage {id}</p>;
}
