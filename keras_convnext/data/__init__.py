"""Images with labels, boxes, masks or label maps, from bundled data, files and folders; and batches of them."""

from keras_convnext.data.annotated_batches import AnnotatedBatches
from keras_convnext.data.annotated_images import AnnotatedImages, Annotation
from keras_convnext.data.augmented import AugmentedBatches, augmented_dataset
from keras_convnext.data.batches import Batches, EpochOrder
from keras_convnext.data.check_shards import check_shards
from keras_convnext.data.coco import load_coco
from keras_convnext.data.digit_scenes import digit_scenes
from keras_convnext.data.digits import load_digits
from keras_convnext.data.folder import load_folder
from keras_convnext.data.image_files import find_images
from keras_convnext.data.imagenet_folder import load_imagenet
from keras_convnext.data.images import ImageData, Images, read_image
from keras_convnext.data.letterbox import letterbox
from keras_convnext.data.load import load_data
from keras_convnext.data.load_annotated import load_annotated
from keras_convnext.data.masks import as_segmentation, mask_boxes, paint_label_map
from keras_convnext.data.npz import load_npz
from keras_convnext.data.segmentation_folder import load_segmentation_folder, read_label_map
from keras_convnext.data.shards import load_shards
from keras_convnext.data.split import split_validation, with_validation
from keras_convnext.data.stamp_scenes import stamp_scenes
from keras_convnext.data.tfds import load_tfds
from keras_convnext.data.write_shards import write_shards

__all__ = [
    "AnnotatedBatches",
    "AnnotatedImages",
    "Annotation",
    "AugmentedBatches",
    "Batches",
    "EpochOrder",
    "ImageData",
    "Images",
    "as_segmentation",
    "augmented_dataset",
    "check_shards",
    "digit_scenes",
    "find_images",
    "letterbox",
    "load_annotated",
    "load_coco",
    "load_data",
    "load_digits",
    "load_folder",
    "load_imagenet",
    "load_npz",
    "load_segmentation_folder",
    "load_shards",
    "load_tfds",
    "mask_boxes",
    "paint_label_map",
    "read_image",
    "read_label_map",
    "split_validation",
    "stamp_scenes",
    "with_validation",
    "write_shards",
]
