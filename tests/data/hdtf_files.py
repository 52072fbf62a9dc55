"""A small HDTF_dataset with the quirks of the published one."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "RD_video_url": "Radio1 https://www.youtube.com/watch?v=CPCoMyuBRM0\n"
    "Radio11 https://www.youtube.com/watch?v=XtySvTwIOfw&t=6s\nRadio24 https://www.youtube.com/watch?v=cU0JPT3n9B4\n"
    "Radio56 https://www.youtube.com/watch?v=_NIUdiGXvT8\n",
    "RD_annotion_time": "Radio1.mp4 00:30-01:00\nRadio11.mp4 00:30-01:00 01:30-02:30\n"
    "Radio56.mp4 00:05-00:20\n",
    "RD_resolution": "Radio1.mp4 720\nRadio11.mp4 720\nRadio24.mp4 720\nRadio56.mp4 2160\n",
    "RD_crop_wh": "Radio1_0.mp4 466 535 0 535\nRadio11_0.mp4 412 599 7 599\nRadio56_0.mp4 1213 1455 0 1455\n",
    "RD_crop_ratio": "Radio1_0.mp4 1.2\nRadio11_0.mp4 1.2\nRadio56_0.mp4 1.2\n",
    "WDA_video_url": "\ufeffCarolynMaloney2 https://www.youtube.com/watch?v=RApGxN-O9Qc\n"
    "CarolynMaloney1 https://www.youtube.com/watch?v=1Xn9v3fmLPs\n"
    "WhipJimClyburn https://www.youtube.com/watch?v=gh3YqnvNdio\n"
    "JamesClyburn https://www.youtube.com/watch?v=eKqPmFleCy0\n"
    "JamesClyburn1 https://www.youtube.com/watch?v=gh3YqnvNdio&t=5s",
    "WDA_annotion_time": "CarolynMaloney2.mp4 00:05-00:30\nCarolynMaloney1.mp4 00:05-00:40\n"
    "WhipJimClyburn.mp4 00:05-04:40\nJamesClyburn.mp4 00:05-00:55\nJamesClyburn1.mp4 00:05-04:40",
    "WDA_resolution": "CarolynMaloney2.mp4 720\nCarolynMaloney1.mp4 700\nWhipJimClyburn.mp4 1080\n"
    "JamesClyburn.mp4 360\nJamesClyburn1.mp4 1080\n",
    "WDA_crop_wh": "CarolynMaloney2_0.mp4 10 400 0 400\nCarolynMaloney1_0.mp4 10 350 0 350\n"
    "WhipJimClyburn_0.mp4 583 791 0 791\nJamesClyburn1_0.mp4 575 808 0 808\n",
    "WDA_crop_ratio": "CarolynMaloney2_0.mp4 1.2\n",
    "WRA_video_url": "DianeBlack1 https://www.youtube.com/watch?v=aaaaaaaaaaa\n"
    "KevinMcCarthy1 https://www.youtube.com/watch?v=bbbbbbbbbbb\nMittRomney https://www.youtube.com/watch?v=ccccccccccc",
    "WRA_annotion_time": "DianeBlack1.mp4 10:35-10:45 \nKevinMcCarthy1.mp4 00:22-00:45 01:05-01:20 \n"
    "MittRomney.mp4 08:10-08:30 00:33-08:53\n",
    "WRA_resolution": "DianeBlack1.mp4 714\nKevinMcCarthy1.mp4 0\nMittRomney.mp4 720\n",
    "WRA_crop_wh": "DianeBlack1_0.mp4 10 357 0 357\nKevinMcCarthy1_0.mp4 20 400 0 400\n",
    "WRA_crop_ratio": "DianeBlack1_0.mp4 0.95\n",
}
CLIPS = 14


def write_hdtf(folder: Path, **changed: str) -> Path:
    """The text files in `folder`/HDTF_dataset; `changed` replaces some of them."""
    lists = folder / "HDTF_dataset"
    lists.mkdir(parents=True)
    for name, text in {**FILES, **changed}.items():
        (lists / f"{name}.txt").write_text(text, encoding="utf-8", newline="")
    return folder


def touch_videos(folder: Path, *names: str) -> Path:
    """Empty files in place of videos."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder
