"""The demo draws pictures, and paints each scene in each style by `din-jax stylize`."""

from din_jax.data import load_image


def test_demo_is_the_command_that_it_prints(din_jax, tmp_path):
    demo = ["demo", "--output", tmp_path / "demo", "--size", 32]
    first = din_jax(*demo)
    assert first.status == 0 and "25 outputs" in first.out
    names = {path.name for path in (tmp_path / "demo").glob("scene*.png")}
    assert names == {f"scene{i}--style{j}.png" for i in range(5) for j in range(5)}
    command = first.out.splitlines()[0].split()
    assert command[:2] == ["din-jax", "stylize"]
    again = din_jax(*command[1:])
    assert again.status == 0 and "25 were there already" in again.out
    drawn = [load_image(path) for path in sorted((tmp_path / "demo/scenes").iterdir())]
    assert len(drawn) == 5 and all(picture.shape == (32, 32, 3) for picture in drawn)
    assert din_jax(*demo).status == 0  # drawn anew, and painted again
