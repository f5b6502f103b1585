// The picture of a product. Without a picture, or when it fails to load, a drawing that depends on the name only.

import { useState } from "react";
import type { Sale } from "../lib/api";
import { atApi } from "../lib/apiOrigin";

interface Props {
  product: Pick<Sale["product"], "name" | "imageUrl">;
  className?: string;
  /** The picture that the page opens with is loaded at once, the others when they come near the screen. */
  isFirst?: boolean;
}

/** The proportions that every picture is shown in, so that a page does not move when a picture comes. */
const SIZE = { width: 800, height: 600 };

export function ProductImage({ product, className = "", isFirst = false }: Props) {
  const [hasFailed, setFailed] = useState(false);
  const shape = `aspect-[4/3] w-full overflow-hidden rounded-xl ${className}`;
  if (product.imageUrl && !hasFailed) {
    return (
      <img
        src={atApi(product.imageUrl)}
        alt=""
        {...SIZE}
        loading={isFirst ? "eager" : "lazy"}
        fetchPriority={isFirst ? "high" : "auto"}
        decoding="async"
        referrerPolicy="no-referrer"
        className={`${shape} object-cover`}
        onError={() => setFailed(true)}
      />
    );
  }
  return <GeneratedImage name={product.name} className={shape} />;
}

/** Rings around a low sun. The name determines their colours and positions. */
function GeneratedImage({ name, className }: { name: string; className: string }) {
  const seed = [...name].reduce((sum, letter) => (sum * 31 + (letter.codePointAt(0) ?? 0)) % 100_003, 7);
  const hue = seed % 360;
  const x = 90 + (seed % 220);
  const y = 150 + ((seed >> 3) % 90);
  return (
    <svg viewBox="0 0 400 300" preserveAspectRatio="xMidYMid slice" className={className} aria-hidden="true">
      <rect width="400" height="300" fill={`hsl(${hue} 32% 24%)`} />
      {Array.from({ length: 11 }, (_, ring) => 11 - ring).map((ring) => (
        <circle
          key={ring}
          cx={x}
          cy={y}
          r={ring * 30}
          fill={`hsl(${(hue + ring * 6) % 360} ${30 + ring}% ${64 - ring * 4}%)`}
          fillOpacity="0.55"
        />
      ))}
      <circle cx={x} cy={y} r="22" fill={`hsl(${(hue + 40) % 360} 80% 84%)`} />
      {[0, 1, 2, 3, 4, 5].map((line) => (
        <rect
          key={line}
          y={222 + line * 14}
          width="400"
          height={2 + line * 1.6}
          fill={`hsl(${hue} 40% 12%)`}
        />
      ))}
    </svg>
  );
}
