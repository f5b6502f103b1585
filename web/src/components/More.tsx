// The button at the end of a list that has more.

interface Props {
  text: string;
  isLoading: boolean;
  onMore: () => void;
}

export function More({ text, isLoading, onMore }: Props) {
  return (
    <button
      type="button"
      className="button button-quiet mt-6 justify-self-start"
      aria-disabled={isLoading}
      onClick={() => !isLoading && onMore()}
    >
      {text}
    </button>
  );
}
