// The 12 regions in label order: name, and RGB as in the pictures of the library.

export const REGIONS = [
  ["background", [24, 26, 34]],
  ["lip", [214, 62, 84]],
  ["eyebrows", [92, 64, 51]],
  ["eyes", [90, 160, 255]],
  ["hair", [130, 84, 48]],
  ["nose", [255, 190, 120]],
  ["skin", [240, 208, 176]],
  ["ears", [250, 150, 130]],
  ["neck", [196, 150, 120]],
  ["mouth", [255, 255, 255]],
  ["eye_glass", [70, 220, 190]],
  ["ear_rings", [255, 215, 0]],
];

export const regionTitle = (name) => name.replace("_", " ");

// A region map [S, S] out of a grey PNG in base64: its labels as Uint8Array, and its side.
export async function readRegionMap(base64) {
  const data = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([data], { type: "image/png" }), {
    colorSpaceConversion: "none", // labels are numbers, not colours
    premultiplyAlpha: "none",
  });
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { data: rgba } = context.getImageData(0, 0, picture.width, picture.height);
  return { side: picture.width, labels: Uint8Array.from({ length: rgba.length / 4 }, (_, i) => rgba[4 * i]) };
}

// Labels to a picture in the colours of the regions.
export function colourize({ side, labels }) {
  const picture = new ImageData(side, side);
  for (let i = 0; i < labels.length; i += 1) {
    const [, [red, green, blue]] = REGIONS[labels[i]] ?? REGIONS[0];
    picture.data[4 * i] = red;
    picture.data[4 * i + 1] = green;
    picture.data[4 * i + 2] = blue;
    picture.data[4 * i + 3] = 255;
  }
  return picture;
}
