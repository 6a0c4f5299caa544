"""What an (eps, delta) guarantee of this project does not cover, in plain words. {unit} is "image" or "group"."""

NOT_COVERED = (
    "A person to whom several {unit}s belong: one {unit} at a time is protected.",
    "Other runs on the same images, and settings chosen by looking at their results: each run spends an ε of its own, "
    "and they add up.",
    "What is taken as public: the size of the images, the number and names of classes, the number of images, the "
    "labels asked for, and every setting.",
    "What is true of such images in general, whoever took part: to show that is the purpose.",
    "Faults below the mathematics: floating-point arithmetic, the random generator Threefry, which is not "
    "cryptographic, and the computer that ran it.",
)
