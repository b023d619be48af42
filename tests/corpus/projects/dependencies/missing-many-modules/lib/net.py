import PIL.Image
