"""Rows of the networks that judge: lip sync, perceptual distance, and the features of FID and FVD."""

from __future__ import annotations

from segtalker.weights.registry.row import Published, WeightsRow, converted

_TORCHVISION_URL = "https://download.pytorch.org/models/"


def _lpips(net: str, trunk: str, sha256: str, measures: tuple[str, ...] = ()) -> WeightsRow:
    file = f"{trunk}-{sha256}.pth"
    return converted(
        f"lpips_{net}",
        f"LPIPS on {trunk.partition('-')[0]}; its heads are those of the installed lpips package",
        "metrics",
        (
            "trunk: torchvision, BSD-3-Clause, trained on ImageNet, whose terms torchvision leaves to you; "
            "heads: BSD-2-Clause",
            "",
        ),
        "segtalker train sgi (key networks.lpips_trunk), segtalker.metrics",
        Published(
            filename=file,
            page="https://github.com/pytorch/vision",
            urls=(_TORCHVISION_URL + file,),
            sha256=sha256,  # torchvision names a file by the first digits of its hash
        ),
        "lpips",
        measures,
    )


ROWS: tuple[WeightsRow, ...] = (
    converted(
        "syncnet_v2",
        "SyncNet v2: Sync-C, Sync-D and offset",
        "sync",
        (
            "code MIT; weights by the Visual Geometry Group, Oxford, without terms of their own",
            "commercial use, as we read it: no terms are stated for the weights",
        ),
        "segtalker.metrics",
        Published(
            filename="syncnet_v2.model",
            page="https://github.com/joonson/syncnet_python (download_model.sh)",
            urls=("https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",),
            sha256="961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
        ),
        "syncnet_v2",
        ("Sync-C", "Sync-D"),
    ),
    converted(
        "wav2lip_expert",
        "Wav2Lip's lip-sync expert",
        "sync",
        (
            "Wav2Lip: personal, research and non-commercial use; weights trained on LRS2",
            "any commercial use",
        ),
        "where a training of SyncNet starts from",
        Published(
            filename="lipsync_expert.pth",
            page="https://github.com/Rudrabha/Wav2Lip (README, Getting the weights, Expert Discriminator)",
        ),
        "lip_expert",
    ),
    _lpips("alex", "alexnet-owt", "7be5be79", ("LPIPS",)),
    _lpips("vgg", "vgg16", "397923af"),
    converted(
        "inception_fid",
        "Inception-v3 as FID uses it",
        "metrics",
        ("Apache-2.0 (pytorch-fid; TensorFlow's network, trained on ImageNet)", ""),
        "segtalker.metrics",
        Published(
            filename="pt_inception-2015-12-05-6726825d.pth",
            page="https://github.com/mseitzer/pytorch-fid",
            urls=(
                "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
                "pt_inception-2015-12-05-6726825d.pth",
            ),
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            size=95_628_359,
        ),
        "inception",
        ("FID",),
    ),
    converted(
        "i3d_fvd",
        "I3D on Kinetics-400 as FVD uses it",
        "metrics",
        (
            "none stated for this file (published with StyleGAN-V, https://github.com/universome/stylegan-v)",
            "unknown: judge by yourself whether you may use it",
        ),
        "segtalker.metrics",
        Published(
            filename="i3d_torchscript.pt",
            page="https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt",
            urls=("https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",),
        ),
        "i3d",
        ("FVD",),
    ),
)
