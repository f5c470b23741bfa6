"""Names of the classes: label 0 is the background, 1..K are the classes of a data set."""

#: The name of an unused label, if labels are category ids and the ids have gaps
#: (MODEL.CLASS_LABELS). torchvision's category lists use the same name.
UNUSED_CLASS = "N/A"
