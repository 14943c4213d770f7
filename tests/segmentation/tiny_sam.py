"""A SAM of segment_anything's own classes, small enough for tests, with random weights."""

from functools import partial

import torch

from fetalstudio.segmentation.sam import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from fetalstudio.segmentation.vit import VitConfig

TINY = VitConfig(width=32, depth=2, heads=2, global_attention=(1,), image_size=64, window=3)


def vanilla(config: VitConfig = TINY, seed: int = 0) -> Sam:
    """As ``segment_anything.build_sam._build_sam``, of another size; relative positions too are
    random, which it leaves at zero."""
    torch.manual_seed(seed)
    side = config.image_size // 16
    sam = Sam(
        image_encoder=ImageEncoderViT(
            depth=config.depth,
            embed_dim=config.width,
            img_size=config.image_size,
            mlp_ratio=4,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=config.heads,
            patch_size=16,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=config.global_attention,
            window_size=config.window,
            out_chans=256,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=256,
            image_embedding_size=(side, side),
            input_image_size=(config.image_size, config.image_size),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
            transformer_dim=256,
        ),
    )
    with torch.no_grad():
        for name, parameter in sam.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:
                parameter.normal_(0, 0.2)
    return sam.eval()
