"""Write a textured mesh as USDZ, the package of phones, headsets and film tools; by OpenUSD (extra `usd`).

A stage in glTF's axes, y up, a unit of the mesh a metre long, with the mesh, its matt material and the input's camera.
"""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.errors import Failure
from geometry.camera import Lens
from reconstruct.gltf import GLTF_FROM_WORLD, NEAREST, gltf_from_cam
from reconstruct.texture import TexturedMesh

Floats = NDArray[np.float64]

FARTHEST = 100.0
"""The far plane of the input's camera, in world units."""


def check_usd() -> None:
    """Raise Failure when OpenUSD is not installed."""
    if find_spec("pxr") is None:
        raise Failure("usdz: expected usd-core, which writes it: pip install -c constraints.txt -e '.[usd]'")


def usdz_bytes(mesh: TexturedMesh, texture: bytes, input_camera: Floats, lens: Lens) -> bytes:
    """Encode a mesh with its `texture` as PNG, and the input's camera (3, 4). Raises Failure without OpenUSD."""
    check_usd()
    from pxr import Sdf, Usd, UsdGeom

    with tempfile.TemporaryDirectory() as scratch:
        layer, picture, package = (str(Path(scratch) / name) for name in ("object.usdc", "object.png", "object.usdz"))
        Path(picture).write_bytes(texture)
        stage = Usd.Stage.CreateNew(layer)
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        root = UsdGeom.Xform.Define(stage, "/object")
        stage.SetDefaultPrim(root.GetPrim())
        _define_mesh(stage, mesh)
        _define_material(stage)
        _define_camera(stage, input_camera, lens)
        stage.GetRootLayer().Save()
        writer = Sdf.ZipFileWriter.CreateNew(package)
        # The layer to be opened comes first.
        writer.AddFile(layer, "object.usdc")
        writer.AddFile(picture, "object.png")
        writer.Save()
        return Path(package).read_bytes()


def _define_mesh(stage: Any, mesh: TexturedMesh) -> None:
    from pxr import Sdf, UsdGeom, Vt

    shape = UsdGeom.Mesh.Define(stage, "/object/mesh")
    points = (mesh.vertices @ GLTF_FROM_WORLD.T).astype(np.float32)
    shape.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    shape.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack([points.min(0), points.max(0)])))
    shape.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(mesh.faces), 3, np.int32)))
    shape.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(mesh.faces.astype(np.int32).reshape(-1)))
    shape.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy((mesh.normals @ GLTF_FROM_WORLD.T).astype(np.float32)))
    shape.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    # Otherwise readers take the triangles for the cage of a smooth surface.
    shape.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    shape.CreateDoubleSidedAttr().Set(True)  # noqa: FBT003 (the attribute's value)
    uv = np.stack([mesh.uv[:, 0], 1.0 - mesh.uv[:, 1]], axis=1).astype(np.float32)  # v from the bottom
    where = UsdGeom.PrimvarsAPI(shape).CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex)
    where.Set(Vt.Vec2fArray.FromNumpy(uv))


def _define_material(stage: Any) -> None:
    from pxr import Gf, Sdf, UsdShade

    material = UsdShade.Material.Define(stage, "/object/baked")
    coordinates = UsdShade.Shader.Define(stage, "/object/baked/coordinates")
    coordinates.CreateIdAttr("UsdPrimvarReader_float2")
    coordinates.CreateInput("varname", Sdf.ValueTypeNames.String).Set("st")
    picture = UsdShade.Shader.Define(stage, "/object/baked/picture")
    picture.CreateIdAttr("UsdUVTexture")
    picture.CreateInput("file", Sdf.ValueTypeNames.Asset).Set("object.png")
    picture.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set("sRGB")
    for side in ("wrapS", "wrapT"):
        picture.CreateInput(side, Sdf.ValueTypeNames.Token).Set("clamp")
    found = coordinates.CreateOutput("result", Sdf.ValueTypeNames.Float2)
    picture.CreateInput("st", Sdf.ValueTypeNames.Float2).ConnectToSource(found)
    surface = UsdShade.Shader.Define(stage, "/object/baked/surface")
    surface.CreateIdAttr("UsdPreviewSurface")
    colour = picture.CreateOutput("rgb", Sdf.ValueTypeNames.Float3)
    surface.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).ConnectToSource(colour)
    surface.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(1.0)
    # No sheen, as in `reconstruct.gltf`: the colours already have their light.
    surface.CreateInput("useSpecularWorkflow", Sdf.ValueTypeNames.Int).Set(1)
    surface.CreateInput("specularColor", Sdf.ValueTypeNames.Color3f).Set(Gf.Vec3f(0.0))
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", Sdf.ValueTypeNames.Token))
    shown = stage.GetPrimAtPath("/object/mesh")
    UsdShade.MaterialBindingAPI.Apply(shown).Bind(material)


def _define_camera(stage: Any, input_camera: Floats, lens: Lens) -> None:
    from pxr import Gf, UsdGeom

    camera = UsdGeom.Camera.Define(stage, "/object/input")
    # USD multiplies row vectors, so its matrices are the transposes of ours.
    camera.AddTransformOp().Set(Gf.Matrix4d(gltf_from_cam(input_camera).T.tolist()))
    camera.CreateFocalLengthAttr(lens.focal_mm)
    # Input views are square.
    camera.CreateHorizontalApertureAttr(lens.sensor_mm)
    camera.CreateVerticalApertureAttr(lens.sensor_mm)
    camera.CreateClippingRangeAttr(Gf.Vec2f(NEAREST, FARTHEST))
