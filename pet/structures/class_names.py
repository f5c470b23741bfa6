"""What labels mean: 0 is the background, and 1..K are the classes of a data set."""

#: The name of a label that stands for no class, where labels are category ids and the ids have
#: gaps (MODEL.CLASS_LABELS). torchvision's lists of categories spell it so.
UNUSED_CLASS = "N/A"
