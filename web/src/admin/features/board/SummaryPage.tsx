// SummaryPage.

export default function SummaryPage({ id }: { id: string }) {
  return <p>SummaryPage {id}</p>;
}
