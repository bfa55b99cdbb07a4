"""genretrain: trains the networks that genred runs.

::

    prepare  GTZAN, audio or log-mels -> logmel/<genre>.npz       gtzan, dataset
    fit      log-mels -> MFCC crops -> network -> checkpoint      dataset, networks, loop   (numpy and torch only)
    export   checkpoint -> one ONNX file with its card            export, card
    evaluate ONNX file -> held-out accuracy, into its card        evaluate, card
"""
