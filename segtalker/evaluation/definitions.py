"""What every figure of an evaluation is: definition, unit and source, for result pages and readers."""

from __future__ import annotations

DEFINITIONS: dict[str, str] = {
    "sync_c": "Sync-C (LSE-C) of SyncNet v2 (Chung and Zisserman 2016): median minus least of the 31 mean "
    "distances at shifts of -15..15 frames.",
    "sync_d": "Sync-D (LSE-D): the least of these 31 mean distances.",
    "sync_offset": "Frames by which the fitting speech is later than the mouths, by SyncNet v2; the "
    "published tool has the other sign.",
    "expert_confidence": "Greatest minus median of 31 mean log-odds of our evaluation expert, on region "
    "maps. The expert was never a loss of any network here.",
    "expert_distance": "Least of the 31 mean distances of its embeddings (unit vectors: 0..2).",
    "expert_offset": "Frames by which the fitting speech is later than the mouths, by our expert.",
    "f_lmd": "Mean Euclidean distance of 68 landmarks to the reference's, px of a crop of `landmark_size` "
    "(Chen et al. 2018, but not centred).",
    "m_lmd": "The same over the 20 points of the lips.",
    "f_lmd_centred": "F-LMD after both sets of a frame are moved to their own mean, as Chen et al. do.",
    "m_lmd_centred": "M-LMD after both sets of lip points are moved to their own mean.",
    "psnr": "Mean over frames of the peak signal-to-noise ratio of the crop, dB; 110 of equal pictures.",
    "ssim": "Mean over frames of structural similarity of the crop (Wang et al. 2004; Gaussian of sigma 1.5, "
    "mean of the channels).",
    "lpips": "LPIPS of AlexNet (arXiv 1801.03924) of the crop, mean over frames.",
    "csim": "Cosine of a published recogniser's embeddings with those of the reference frame, mean.",
    "perceptual_mini": "Squared difference of unit features of our parsing U-Net, summed over levels, mean "
    "over frames. Not LPIPS.",
    "id_mini": "Cosine of our own identity network's embeddings with the reference frame's, mean. Not CSIM.",
    "miou": "Mean IoU of the lower halves of region maps of output and reference, over the regions there.",
    "opening": "Pearson correlation of the inner lips' area with the reference video's.",
    "opening_labels": "Pearson correlation of the inner lips' area with the exact opening of the labels.",
    "leak": "Size of the Pearson correlation of the inner lips' area with that of the source frames, which "
    "had other speech; only where the source is not the reference.",
    "silence": "Mean area of the inner lips while the speech is silent, over that while it is not.",
    "silence_leak": "Mean area of the inner lips while the speech is silent, over the source's at these "
    "frames: 1 where the source's mouth goes on.",
    "closure": "Mean area of the inner lips on p, b, m over that on vowels, by the labels.",
    "seam": "Mean increase of the gradient along the edge of what differs from the source, levels of 255.",
    "flicker": "What the output alternates from frame to frame more than the reference does, levels of 255.",
    "flicker_output": "Mean of abs(f(t-1) - 2 f(t) + f(t+1)) / 4 of the brightness of the lower half of the "
    "crop: an alternation by +-d levels reads d.",
    "jitter": "Share of pixels of the lower half of region maps that change and change back.",
    "coverage": "Share of the reference's frames with a face for which the output shows a face.",
    "fid": "FID (arXiv 1706.08500) of all crops of the outputs and of the references.",
    "fvd": "FVD (arXiv 1812.01717): the same of I3D's logits of every 16 consecutive crops.",
    "frechet_mini": "Fréchet distance of features of a fixed random network (arXiv 2002.09797). Not FID.",
}
"""Figure -> what it is. Every figure that `VideoFigures` and `SetFigures` know has its line."""
