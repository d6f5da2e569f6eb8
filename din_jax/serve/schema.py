"""What the API says of itself: the documents that it answers, and the form that it takes."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from din_jax.serve.limits import Limits

_EXAMPLE = "Zk3vQ0m1q8uY2c4w6x9A-g"


class Error(BaseModel):
    """Why a request was not fulfilled."""

    error: str = Field(
        description="One sentence: what was wrong, and what helps.",
        examples=["there is no style 'wave'; the nearest are waves, mosaic."],
    )


class Picture(BaseModel):
    """A painted picture."""

    url: str = Field(examples=[f"/api/v1/jobs/{_EXAMPLE}/pictures/0"])
    width: int = Field(description="Pixels.", examples=[1536])
    height: int = Field(description="Pixels.", examples=[1024])
    bytes: int = Field(description="Of the file.", examples=[2304411])


class JobState(BaseModel):
    """How far a job is."""

    id: str = Field(
        description="Unguessable: who knows it may see and cancel the job.", examples=[_EXAMPLE]
    )
    state: Literal["queued", "painting", "done", "failed", "cancelled"]
    place: int | None = Field(description="In the queue; 1 is next.", examples=[3])
    progress: float = Field(description="0 to 1, over all pictures.", examples=[0.5])
    count: int = Field(description="Pictures asked for.", examples=[1])
    pictures: list[Picture] = Field(description="Painted so far, in the order of the contents.")
    error: str | None = Field(description="Why it failed, as a sentence.")


class Style(BaseModel):
    """A style by name."""

    name: str = Field(examples=["waves"])
    thumbnail: str | None = Field(
        description="Where its picture is; of a model with a table of styles there is none.",
        examples=["/api/v1/styles/waves/thumbnail"],
    )


class StyleList(BaseModel):
    """Styles, the nearest to what was searched for first."""

    styles: list[Style]
    total: int = Field(description="Of the whole bank.", examples=[26])


class Bounds(BaseModel):
    """What a request may have."""

    upload_bytes: int = Field(description="Of a request's body.")
    pixels: int = Field(description="Of one picture.")
    pictures: int = Field(description="Contents in a request.")
    styles: int = Field(description="In a mixture.")
    feather: int = Field(description="Pixels.")
    scale: int = Field(description="Pixels.")
    queue: int = Field(description="Jobs that may wait.")
    kept_seconds: float = Field(description="For which painted pictures are kept.")


class Info(BaseModel):
    """What paints here, and its bounds."""

    version: str = Field(description="Of din_jax.")
    model: str = Field(examples=["din_portable"])
    fingerprint: str = Field(description="SHA-256 of the model's arrays.")
    levels: list[str] = Field(description="Styled layers.", examples=[["level1", "level2"]])
    styles: int = Field(description="How many have names.", examples=[26])
    pictures_as_styles: bool = Field(description="Whether a style may be a picture.")
    formats: list[str] = Field(examples=[["png", "jpg", "webp"]])
    waiting: int = Field(description="Jobs in the queue.", examples=[0])
    limits: Bounds


def form_schema(limits: Limits) -> dict[str, Any]:
    """OpenAPI's description of the form of `POST stylize`."""
    file = {"type": "string", "format": "binary"}

    def field(kind: str, about: str, **more: Any) -> dict[str, Any]:
        return {"type": kind, "description": about, **more}

    def several(items: dict, about: str, most: int) -> dict[str, Any]:
        return {"type": "array", "items": items, "maxItems": most, "description": about}

    properties = {
        "content": several(file, "Pictures to paint; several are a batch.", limits.pictures),
        "style": several(
            {"anyOf": [{"type": "string", "examples": ["waves"]}, file]},
            "Names, or pictures; several are mixed, or each go where their masks are white.",
            limits.styles,
        ),
        "weights": several(
            {"type": "number"}, "Of the styles; also as 2,1. Default: equal.", limits.styles
        ),
        "mask": several(
            file,
            "White where each style goes; one less than styles leaves the rest to the last.",
            limits.styles,
        ),
        "feather": field(
            "number", "Softens the edges of masks, px.", default=0, minimum=0,
            maximum=limits.feather,
        ),
        "strength": field(
            "number", "0 (the content) to 1 (the style).", default=1, minimum=0, maximum=1
        ),
        "levels": several(
            {"type": "string", "examples": ["level1=0.5"]}, "Strengths of single levels.", 8
        ),
        "color": field(
            "string", "Whose colors: the style's; the content's, under the painted light and dark; "
            "or the style in the content's mean and covariance.", default="style",
            enum=["style", "luminance", "match"],
        ),
        "scale": field(
            "integer", "Short side of style pictures while they are read, px: strokes grow with "
            "it. Default: as in training; 0: their own.", minimum=0, maximum=limits.scale,
        ),
        "seamless": field("boolean", "The result tiles the plane.", default=False),
        "size": field(
            "integer", "Longest side, px, to which contents are made smaller. Default: their own.",
            minimum=1,
        ),
        "format": field("string", "", default="png", enum=["png", "jpg", "jpeg", "webp"]),
        "quality": field("integer", "Of jpg and webp.", default=95, minimum=1, maximum=100),
    }  # fmt: skip
    schema = {"type": "object", "required": ["content", "style"], "properties": properties}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
