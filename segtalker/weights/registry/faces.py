"""Rows of the networks that find, parse and recognise faces."""

from __future__ import annotations

from segtalker.weights.registry.row import Published, WeightsRow, WheelMember, converted


def _mediapipe(name: str, folder: str, title: str, sha256: str, size: int, consumer: str) -> WeightsRow:
    member = f"mediapipe/modules/{folder}/{name}.tflite"
    return WeightsRow(
        name=name,
        title=title,
        group="faces",
        filename=f"{name}.tflite",
        licence="Apache-2.0 (Google MediaPipe)",
        forbids="",
        consumer=consumer,
        source=WheelMember("mediapipe", "0.10.21", member, sha256, size),
    )


_CELEBA_TERMS = "commercial use (CelebAMask-HQ, on which it was trained, is for non-commercial research)"

ROWS: tuple[WeightsRow, ...] = (
    _mediapipe(
        "face_detection_short_range",
        "face_detection",
        "BlazeFace: finds faces",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        229_714,
        "segtalker.faces.detect",
    ),
    _mediapipe(
        "face_landmark",
        "face_landmark",
        "face mesh of 468 points",
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        1_242_398,
        "segtalker.faces.detect",
    ),
    _mediapipe(
        "iris_landmark",
        "iris_landmark",
        "points of the iris",
        "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
        2_640_568,
        "optional: gaze; nothing reads it yet",
    ),
    _mediapipe(
        "selfie_segmentation",
        "selfie_segmentation",
        "person against background",
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
        249_505,
        "segtalker.faces.detect",
    ),
    converted(
        "bisenet",
        "BiSeNet: 19 labels of a face",
        "parsing",
        ("code MIT; weights trained on CelebAMask-HQ", _CELEBA_TERMS),
        "segtalker.parsing.bisenet",
        Published(
            filename="79999_iter.pth",
            page="https://github.com/zllrunning/face-parsing.PyTorch (README, pretrained model)",
            urls=("https://github.com/xinntao/facexlib/releases/download/v0.2.0/parsing_bisenet.pth",),
            sha256="468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567",
            size=53_289_463,
        ),
        "bisenet",
    ),
    converted(
        "maskgan_unet",
        "MaskGAN's parsing U-Net (parsing loss)",
        "parsing",
        ("CelebAMask-HQ and MaskGAN: non-commercial research and education", _CELEBA_TERMS),
        "segtalker train sgi (key networks.parsing_unet)",
        Published(
            filename="model.pth",
            page="https://github.com/switchablenorms/CelebAMask-HQ (face parsing, pretrained model)",
            urls=(
                "https://raw.githubusercontent.com/e4s2022/e4s/d30bdc7180fdfad20722d86cbe12893dc39f3e02/"
                "pretrained_ckpts/auxiliray/model.pth",
            ),
            git_blob="dece21893a6e69fff011b6e1011be03a709a5e2a",
        ),
        "parsing_unet",
    ),
    converted(
        "irse50",
        "IR-SE50 ArcFace: identity (identity loss, CSIM)",
        "identity",
        (
            "code MIT; weights trained on faces derived from MS-Celeb-1M, without terms of their own",
            "commercial use, as we read it: the faces were collected for research",
        ),
        "segtalker train sgi (key networks.arcface), segtalker.metrics",
        Published(
            filename="model_ir_se50.pth",
            page="https://github.com/TreB1eN/InsightFace_Pytorch (README, IR-SE50)",
            urls=(
                "https://github.com/xinntao/facexlib/releases/download/v0.1.0/"
                "recognition_arcface_ir_se50.pth",
            ),
            sha256="a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28",
            size=175_367_323,
        ),
        "identity",
        ("CSIM",),
    ),
    WeightsRow(
        name="buffalo_l",
        title="insightface pack: detector, 68 and 106 landmarks, ArcFace",
        group="insightface",
        filename="models/buffalo_l",
        licence="code MIT; weights under InsightFace's own terms: non-commercial research only",
        forbids="commercial use",
        consumer="segtalker.faces.insight",
        source=Published(
            filename="buffalo_l.zip",
            page="https://github.com/deepinsight/insightface (python-package, model zoo)",
            urls=("https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_l.zip",),
            sha256="80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
        ),
        measures=("CSIM",),
    ),
)
